"""The reconcilers, one file each: observe, decide, act. What they share is `fleet.Fleet`."""
