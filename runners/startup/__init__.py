"""Start-up before any worker: prepares the networks and tests the device."""
