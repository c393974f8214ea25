select last_seq from commit_order where only_row = 1
