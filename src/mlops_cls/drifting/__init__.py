"""Behind the verb `drift`: what was collected, compared with the bundle; a page; a table to train on."""
