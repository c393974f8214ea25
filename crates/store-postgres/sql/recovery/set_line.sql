update lineage set line = $1 where only_row = 1
