// Ships lines to a daemon with Benthos, the engine of Redpanda Connect: some in gzipped batches to /send/batch, some one by one to
// /send. It ends once every line was accepted, and retries what was not, as it does by itself.
//
//	shipper URL BATCHED SINGLE
//
// Batched lines have the ids b1, b2 and so on, single ones s1, s2 and so on. Each batch begins with a line that is refused.
package main

import (
	"context"
	"fmt"
	"os"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// batched has 500 lines in each request.
const batched = `
input:
  generate:
    count: %[2]s
    interval: ""
    batch_size: 100
    mapping: |
      root = {"id": "b%%v".format(counter()), "tipo": "batched", "pad": "estación", "n": 1.10}
output:
  http_client:
    url: %[1]s/send/batch
    headers: {Content-Type: application/x-ndjson, Content-Encoding: gzip}
    timeout: 60s
    retry_period: 200ms
    retries: 2
    max_in_flight: 8
    batching:
      count: 500
      period: 1s
      processors:
        - archive: {format: lines}
        - mapping: root = "[2026-11-29 18:00:00] WARN\n" + content().string()
        - compress: {algorithm: gzip}
logger: {level: ERROR}
`

// single has one line in each request. Every other one is gzipped.
const single = `
input:
  generate:
    count: %[2]s
    interval: ""
    mapping: |
      root = {"id": "s%%v".format(counter()), "tipo": "single", "pad": "estación"}
pipeline:
  processors:
    - mapping: |
        let odd = this.id.trim_prefix("s").number() %% 2 == 1
        meta encoding = if $odd { "gzip" } else { "identity" }
        root = if $odd { content().compress("gzip") } else { content() }
output:
  http_client:
    url: %[1]s/send
    headers: {Content-Type: application/json, Content-Encoding: '${! meta("encoding") }'}
    timeout: 60s
    retry_period: 200ms
    retries: 2
    max_in_flight: 32
logger: {level: ERROR}
`

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: shipper URL BATCHED SINGLE")
		os.Exit(2)
	}
	ended := make(chan error)
	for config, count := range map[string]string{batched: os.Args[2], single: os.Args[3]} {
		yaml := fmt.Sprintf(config, os.Args[1], count)
		go func() { ended <- ship(yaml) }()
	}
	for range 2 {
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func ship(yaml string) error {
	builder := service.NewStreamBuilder()
	if err := builder.SetYAML(yaml); err != nil {
		return err
	}
	stream, err := builder.Build()
	if err != nil {
		return err
	}
	return stream.Run(context.Background())
}
