//go:build !integration

package main

// bookMessages is how many messages TestBooks sends; the integration run sends
// more.
const bookMessages = 500
