// The signature check of go-macaroon, timed: FILE has the root key in hexadecimal, then one token a line.
// Each line that comes is answered with the microseconds a token of one round. No caveat is judged.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"gopkg.in/macaroon.v2"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verify(token string, key []byte) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	check(err)
	var m macaroon.Macaroon
	check(m.UnmarshalBinary(data))
	_, err = m.VerifySignature(key, nil)
	check(err)
}

func main() {
	content, err := os.ReadFile(os.Args[1])
	check(err)
	lines := strings.Fields(string(content))
	key, err := hex.DecodeString(lines[0])
	check(err)
	tokens := lines[1:]
	rounds := bufio.NewScanner(os.Stdin)
	for rounds.Scan() {
		start := time.Now()
		for _, token := range tokens {
			verify(token, key)
		}
		fmt.Println(float64(time.Since(start).Nanoseconds()) / 1000 / float64(len(tokens)))
	}
}
