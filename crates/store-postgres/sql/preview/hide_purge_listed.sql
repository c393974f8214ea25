create temp table purge_listed (like lethe.purge_listed including all)
