"""Sends large bodies that are refused before they are read, with the client of the standard library, which sends all of a body before
it reads anything. Prints the status of each answer, a line each: `PATH STATUS`.

    urllib_refused.py URL PATH...
"""

import sys
import urllib.error
import urllib.request

url, paths = sys.argv[1], sys.argv[2:]
body = b"x" * 5_000_000
for path in paths:
    for _ in range(3):
        request = urllib.request.Request(url + path, data=body, method="POST")
        request.add_header("Content-Type", "text/csv" if path == "/send" else "application/json")
        try:
            status = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            status = error.code
        print(path, status)
