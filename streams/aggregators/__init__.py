"""What comes after the frame network: from the features of T steps to one answer a video."""
