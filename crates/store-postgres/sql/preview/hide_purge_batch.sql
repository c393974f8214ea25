create temp table purge_batch (like lethe.purge_batch including all)
