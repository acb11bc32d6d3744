// Command outdial gives AI agents a telephone: an MCP server whose tools place phone calls, follow them and stream what is
// said, and the same at the terminal.
//
// Its one idea: main is a list of what there is. Each subcommand is a file; what they share is how settings are found and
// how the program is put together. It holds no rule about calls.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
