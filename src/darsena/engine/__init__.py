"""The engine port and its drivers: containers, images and builds of one run, and nothing of it left afterwards."""
