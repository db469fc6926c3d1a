// Package demo raises networks of two projects in a lab through the public API, boots instances, and
// proves by packets what passes between them and what does not.
package demo
