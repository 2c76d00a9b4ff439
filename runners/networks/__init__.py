"""What the inputs and outputs of each kind of network mean."""
