// Command folder adds the pictures of a folder as they come, and says what is decided of each: folder /data/camera
package main

import (
	"context"
	"log"
	"os"
	"slices"
	"time"

	"culld.dev/go/culld"
)

func main() {
	client, err := culld.Connect("") // CULLD_SERVER and CULLD_TOKEN from the environment
	for seen := map[string]bool{}; err == nil; time.Sleep(time.Second) {
		var coming []culld.Image
		for image := range culld.Files(os.Args[1]) {
			if !seen[image.Path] {
				seen[image.Path], coming = true, append(coming, image)
			}
		}
		var results []culld.AddResult
		results, err = culld.Collect(client.AddImages(context.Background(), slices.Values(coming), nil))
		for _, result := range results {
			log.Println(result.Key, result.Status, result.Detail, result.Decision.GetDecision())
		}
	}
	log.Fatal(err)
}
