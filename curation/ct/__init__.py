"""CT volumes: raw values to HU, explicit orientation, and sizes on an isotropic grid."""
