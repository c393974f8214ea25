update lineage set line = null, journal_record = null, journal_hash = null where only_row = 1
