create temp table purge_held (like lethe.purge_held including all)
