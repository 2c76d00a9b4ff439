"""The bytes of a picture, from an address that is checked first."""
