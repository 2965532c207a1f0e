package kube

import (
	"encoding/base64"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// encodeSecrets gives plain-text secret values the form the API has them in.
func encodeSecrets(texts map[string]string) map[string]any {
	encoded := make(map[string]any, len(texts))
	for name, text := range texts {
		encoded[name] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return encoded
}

// secretTexts splits a secret's data into what is shown as plain text and what is shown as it is in the API: the keys
// that the resource calls binary, and whatever is no text.
func secretTexts(object *unstructured.Unstructured, binary map[string]string) (data, binaryData any) {
	encoded, found, err := unstructured.NestedStringMap(object.Object, "data")
	if err != nil || !found {
		return nil, nil
	}
	texts, rest := Object{}, Object{}
	for name, text := range encoded {
		plain, err := base64.StdEncoding.DecodeString(text)
		if _, isBinary := binary[name]; isBinary || err != nil || !utf8.Valid(plain) {
			rest[name] = text
		} else {
			texts[name] = string(plain)
		}
	}
	return texts, rest
}
