"""clusterd: the replica process, its protocol and its row engine."""
