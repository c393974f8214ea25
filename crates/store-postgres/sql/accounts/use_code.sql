update auth_code set family = $2 where code_hash = $1
