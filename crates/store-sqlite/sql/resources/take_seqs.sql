update commit_order set last_seq = last_seq + ?1 where only_row = 1 returning last_seq
