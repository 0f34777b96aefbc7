"""groundbench: how well do models find, in a 3D chest CT, what a radiology report says in free text?"""
