// Decode says what Ollama reads in a body: it decodes as Ollama 0.11.4 does, by the same library into the same types.
//
// It reads "PATH LENGTH\n" and so many bytes, again and again, and writes a line of JSON for each.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"reflect"
	"time"
)

// Of github.com/ollama/ollama/api/types.go.

type ImageData []byte

type Message struct {
	Role      string      `json:"role"`
	Content   string      `json:"content"`
	Thinking  string      `json:"thinking,omitempty"`
	Images    []ImageData `json:"images,omitempty"`
	ToolCalls []any       `json:"tool_calls,omitempty"`
	ToolName  string      `json:"tool_name,omitempty"`
}

type GenerateRequest struct {
	Model     string          `json:"model"`
	Prompt    string          `json:"prompt"`
	Suffix    string          `json:"suffix"`
	System    string          `json:"system"`
	Template  string          `json:"template"`
	Context   []int           `json:"context,omitempty"`
	Stream    *bool           `json:"stream,omitempty"`
	Raw       bool            `json:"raw,omitempty"`
	Format    json.RawMessage `json:"format,omitempty"`
	KeepAlive *Duration       `json:"keep_alive,omitempty"`
	Images    []ImageData     `json:"images,omitempty"`
	Options   map[string]any  `json:"options"`
	Think     any             `json:"think,omitempty"`
}

type ChatRequest struct {
	Model     string          `json:"model"`
	Messages  []Message       `json:"messages"`
	Stream    *bool           `json:"stream,omitempty"`
	Format    json.RawMessage `json:"format,omitempty"`
	KeepAlive *Duration       `json:"keep_alive,omitempty"`
	Tools     []any           `json:"tools,omitempty"`
	Options   map[string]any  `json:"options"`
	Think     any             `json:"think,omitempty"`
}

type EmbedRequest struct {
	Model     string         `json:"model"`
	Input     any            `json:"input"`
	KeepAlive *Duration      `json:"keep_alive,omitempty"`
	Truncate  *bool          `json:"truncate,omitempty"`
	Options   map[string]any `json:"options"`
}

type EmbeddingRequest struct {
	Model     string         `json:"model"`
	Prompt    string         `json:"prompt"`
	KeepAlive *Duration      `json:"keep_alive,omitempty"`
	Options   map[string]any `json:"options"`
}

type ShowRequest struct {
	Model    string         `json:"model"`
	System   string         `json:"system"`
	Template string         `json:"template"`
	Verbose  bool           `json:"verbose"`
	Options  map[string]any `json:"options"`
	Name     string         `json:"name"`
}

type Duration struct{ time.Duration }

func (d *Duration) UnmarshalJSON(b []byte) (err error) {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	d.Duration = 5 * time.Minute
	switch t := v.(type) {
	case float64:
		if t < 0 {
			d.Duration = time.Duration(math.MaxInt64)
		} else {
			d.Duration = time.Duration(int(t) * int(time.Second))
		}
	case string:
		d.Duration, err = time.ParseDuration(t)
		if err != nil {
			return err
		}
		if d.Duration < 0 {
			d.Duration = time.Duration(math.MaxInt64)
		}
	default:
		return fmt.Errorf("Unsupported type: '%s'", reflect.TypeOf(v))
	}
	return nil
}

// Of github.com/ollama/ollama/openai/openai.go, whose requests have neither options nor keep_alive.

type ChatCompletionRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	} `json:"messages"`
	Stream    bool `json:"stream"`
	MaxTokens *int `json:"max_tokens"`
	Stop      any  `json:"stop"`
}

type CompletionRequest struct {
	Model     string `json:"model"`
	Prompt    string `json:"prompt"`
	Stream    bool   `json:"stream"`
	MaxTokens *int   `json:"max_tokens"`
	Suffix    string `json:"suffix"`
}

type EmbeddingsRequest struct {
	Input any    `json:"input"`
	Model string `json:"model"`
}

type ImageGenerationRequest struct {
	Model  string `json:"model"`
	Prompt string `json:"prompt"`
	N      int    `json:"n"`
	Size   string `json:"size"`
}

type ImageEditRequest struct {
	Model  string `json:"model"`
	Prompt string `json:"prompt"`
	Image  string `json:"image"`
	Size   string `json:"size"`
}

type ResponsesRequest struct {
	Model           string          `json:"model"`
	Input           json.RawMessage `json:"input"`
	Instructions    string          `json:"instructions"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	Stream          *bool           `json:"stream"`
	Tools           []any           `json:"tools"`
}

// Of github.com/ollama/ollama/anthropic/anthropic.go.

type MessagesRequest struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	Messages  []struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	} `json:"messages"`
	System any   `json:"system"`
	Stream bool  `json:"stream"`
	Tools  []any `json:"tools"`
}

// What a model is loaded with, in 0.11.4 and before: options are a map, whose keys match exactly (Options.FromMap).
var load = []string{
	"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread",
	"numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock",
}

// Seen is what Ollama acts on.
type Seen struct {
	Error     string         `json:"error,omitempty"` // it answers 400
	Model     string         `json:"model"`
	KeepAlive *time.Duration `json:"keep_alive"`
	Load      map[string]any `json:"load"`
	Rest      string         `json:"rest"` // all of the body but keep_alive and what is in Load
}

func decode(path string, body []byte) Seen {
	var (
		generate    GenerateRequest
		chat        ChatRequest
		embed       EmbedRequest
		embedding   EmbeddingRequest
		show        ShowRequest
		chats       ChatCompletionRequest
		completions CompletionRequest
		embeddings  EmbeddingsRequest
		responses   ResponsesRequest
		messages    MessagesRequest
		images      ImageGenerationRequest
		edits       ImageEditRequest
	)
	requests := map[string]any{
		"/api/generate": &generate, "/api/chat": &chat, "/api/embed": &embed, "/api/embeddings": &embedding,
		"/api/show": &show, "/v1/chat/completions": &chats, "/v1/completions": &completions,
		"/v1/embeddings": &embeddings, "/v1/responses": &responses, "/v1/messages": &messages,
		"/v1/images/generations": &images, "/v1/images/edits": &edits,
	}
	request, ok := requests[path]
	if !ok {
		log.Fatalf("%s: no route of Ollama", path)
	}
	seen := Seen{Load: map[string]any{}, Rest: rest(body)}
	// As gin's ShouldBindJSON does: the first value, whatever follows it.
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(request); err != nil {
		seen.Error = err.Error()
	}
	// One of them has been read, the others say nothing. The last two as ShowHandler has it.
	seen.Model = cmp.Or(generate.Model, chat.Model, embed.Model, embedding.Model,
		chats.Model, completions.Model, embeddings.Model, responses.Model, messages.Model, images.Model,
		edits.Model, show.Model, show.Name)
	for _, keepAlive := range []*Duration{generate.KeepAlive, chat.KeepAlive, embed.KeepAlive, embedding.KeepAlive} {
		if keepAlive != nil {
			seen.KeepAlive = &keepAlive.Duration
		}
	}
	for _, options := range []map[string]any{
		generate.Options, chat.Options, embed.Options, embedding.Options, show.Options,
	} {
		for _, name := range load {
			if options[name] != nil {
				seen.Load[name] = options[name]
			}
		}
	}
	return seen
}

func rest(body []byte) string {
	all := map[string]any{}
	numbers := json.NewDecoder(bytes.NewReader(body))
	numbers.UseNumber() // 1e999 is none that a float has, and may stand where Ollama reads nothing
	if numbers.Decode(&all) != nil {
		return ""
	}
	if all["keep_alive"] != nil {
		delete(all, "keep_alive")
	}
	if options, ok := all["options"].(map[string]any); ok {
		for _, name := range load {
			if options[name] != nil {
				delete(options, name)
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		log.Fatal(err)
	}
	return string(text)
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answers := json.NewEncoder(out)
	for {
		var path string
		var length int
		if _, err := fmt.Fscanf(in, "%s %d\n", &path, &length); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(decode(path, body)); err != nil {
			log.Fatal(err)
		}
	}
}
