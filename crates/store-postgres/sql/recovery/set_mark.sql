update lineage set journal_record = $1, journal_hash = $2
where only_row = 1 and (journal_record is null or journal_record < $1)
