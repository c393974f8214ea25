update purge_job set erasure = $2 where job_number = $1
