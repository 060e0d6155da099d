from distributed import Client
from helper_module import scaled

if __name__ == "__main__":
    print("scaled", Client().submit(scaled, 6).result())
