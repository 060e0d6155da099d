import sys

print("tty", sys.stdout.isatty())
print("got", input("name? "))
sys.stderr.write("to stderr\n")
