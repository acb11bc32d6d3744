//go:build !race

package guard

// everyDay is how many days lie between those that are tried: all.
const everyDay = 1
