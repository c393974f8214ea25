lock table commit_order in exclusive mode
