// Package culld is the client of culld, the daemon that sorts growing image stores: it groups pictures, learns from a few
// human judgements which are needed, and answers keep or discard for every one.
//
// [Connect] is where everything begins:
//
//	client, err := culld.Connect("127.0.0.1:7357")
//	...
//	for result, err := range client.AddImages(ctx, culld.Files("/data/photos"), nil) {
//
// A client reconnects by itself, tries again what may succeed later, and does every act once however often it is sent.
// The messages are those of the proto, in package culldpb.
package culld
