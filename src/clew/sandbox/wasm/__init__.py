"""Python as WebAssembly (Pyodide) in Deno, which may do nothing but compute.

Pyodide is no wall: code in it reaches JavaScript. What holds is that Deno was given no permission at all,
besides to read the files that Pyodide consists of.
"""
