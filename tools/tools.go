// Package tools pins the tools that `make check` runs, apart from the program's own dependencies.
package tools
