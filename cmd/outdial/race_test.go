//go:build race

package main

// slower is how many times as long things may take with the race detector.
const slower = 20
