create temp table purge_met_hold (like lethe.purge_met_hold including all)
