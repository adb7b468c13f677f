"""The reconcile loop, the executors it drives, and the log pump."""
