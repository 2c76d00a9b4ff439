"""CPU lanes and GPU claims: how processes share the devices of this machine."""
