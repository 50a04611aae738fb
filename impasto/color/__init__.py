"""Transfer colors between images and convert between color spaces."""
