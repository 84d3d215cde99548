print("fletch")
