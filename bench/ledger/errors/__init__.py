"""Evidence of points, and how much it errs: by seeds of trainings, and by the rows measured on."""
