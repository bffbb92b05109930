"""What ``kubectl get`` shows of each kind: the columns, and the cells of one object."""
