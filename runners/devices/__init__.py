"""CPUs, GPUs and memory of this machine, and how processes share them."""
