package processor

import (
	"maps"
	"slices"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	typeJSON = "application/json"
	typePNG  = "image/png"
)

// statusTexts are the statuses of errors, and what they mean.
var statusTexts = map[int]string{
	400: "What cannot be simulated, and why.",
	401: "The API key is wrong, or there is none.",
	403: "A page of another origin has sent the request.",
	405: "This path has other methods, which Allow lists.",
	406: "The answer has none of the content types that Accept allows.",
	413: "The body is too large.",
	415: "The body is encoded: Content-Encoding is not supported.",
	421: "The service does not go by the Host of the request.",
	429: "There were too many requests lately. Retry-After says when to come again.",
	500: "The service has failed.",
	502: "The stream has failed.",
	503: "Too many requests are under way, or the service shuts down. Retry-After says when to come again.",
	504: "The answer took too long.",
}

// openAPI describes the service.
func (s schemas) openAPI() schema {
	requests, results := s.simulations()
	return schema{
		"openapi": "3.1.0",
		"info": schema{
			"title": "mfn-connect", "version": "1",
			"description": "Runs reaction-diffusion simulations, and extracts features of their patterns. Values may come as text, such as \"64\": the cells of a table do.",
			"license":     schema{"name": "MIT", "identifier": "MIT"},
		},
		"security": []schema{{"key": []string{}}, {"bearer": []string{}}},
		"paths": schema{
			"/simulate": schema{"post": operation("simulate", "Runs a simulation, and returns its features, or a picture of its last field.",
				requestBody("SimulationRequest", schema{"grid_size": 64, "seed": 42}),
				schema{typeJSON: schema{"schema": reference("SimulationResult")}, typePNG: schema{"schema": schema{}}})},
			"/features": schema{"post": operation("features", "Extracts the features of a field, or of a history of fields.",
				requestBody("FeaturesRequest", schema{"field": [][]float64{{-0.07, -0.05}, {-0.03, -0.07}}}),
				schema{typeJSON: schema{"schema": reference("FeaturesResult")}})},
			"/models": schema{"get": operation("models", "Lists the models, with their parameters.", nil,
				schema{typeJSON: schema{"schema": reference("Models")}})},
			"/openapi.json": schema{"get": operation("openapi", "This description.", nil,
				schema{typeJSON: schema{"schema": schema{"type": "object"}}})},
		},
		"components": schema{
			"securitySchemes": schema{
				"key":    schema{"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Needed where the service has keys."},
				"bearer": schema{"type": "http", "scheme": "bearer", "description": "The same key."},
			},
			"responses": errorResponses(),
			"schemas": schema{
				"Error":             schema{"type": "object", "properties": schema{"error": schema{"type": "string"}}, "required": []string{"error"}},
				"SimulationRequest": requests,
				"SimulationResult":  results,
				"FeaturesRequest":   featuresRequest(),
				"FeaturesResult": schema{
					"type": "object", "required": []string{"fractal_dimension", "features"},
					"properties": schema{"fractal_dimension": schema{"type": "number"}, "features": featuresOf(mfnFeatures())},
				},
				"Models": schema{
					"type": "object", "required": []string{"models"},
					"properties": schema{"models": schema{"type": "array", "items": schema{
						"type": "object", "required": []string{"name", "title", "parameters", "planes"},
						"properties": schema{"name": schema{"type": "string"}, "title": schema{"type": "string"}, "parameters": schema{"type": "object"}},
					}}},
				},
			},
		},
	}
}

// simulations returns the schemas of requests and results of all models.
func (s schemas) simulations() (requests, results schema) {
	mfn := s.parameters(engine.MFN)
	alternatives := []schema{s.request(engine.MFN, mfn)}
	answers := []schema{s.result(engine.MFN, mfn, mfnFeatures(), "growth_events", "turing_activations", "clamping_events",
		"field_min_mV", "field_max_mV", "field_mean_mV", "field_std_mV", "activator_mean", "inhibitor_mean")}
	names := engine.ModelFeatureNames()
	for _, m := range engine.Models() {
		parameters := s.parameters(m.Name)
		alternatives = append(alternatives, s.request(m.Name, parameters))
		answers = append(answers, s.result(m.Name, parameters, names[:],
			"threshold", "u_mean", "u_std", "u_min", "u_max", "v_mean", "v_std", "v_min", "v_max"))
	}
	return schema{"anyOf": alternatives}, schema{"anyOf": answers}
}

func mfnFeatures() []string {
	names := engine.FeatureNames()
	return names[:]
}

func featuresRequest() schema {
	field := grids(engine.MaxGridSize, "As many rows as a row has numbers.")
	history := schema{"type": "array", "minItems": 1, "maxItems": engine.MaxSteps, "items": field, "description": "Fields of one size, oldest first."}
	return schema{"oneOf": []schema{
		{"type": "object", "title": "field", "required": []string{"field"}, "properties": schema{"field": field, "history": false}},
		{"type": "object", "title": "history", "required": []string{"history"}, "properties": schema{"history": history, "field": false}},
	}}
}

// operation describes one operation.
func operation(id, summary string, body, content schema) schema {
	responses := schema{"200": schema{"description": "The answer.", "content": content}}
	for status := range statusTexts {
		code := strconv.Itoa(status)
		responses[code] = schema{"$ref": "#/components/responses/" + code}
	}
	of := schema{"operationId": id, "summary": summary, "responses": responses}
	if body != nil {
		of["requestBody"] = body
	}
	return of
}

func requestBody(name string, example any) schema {
	return schema{"required": true, "content": schema{typeJSON: schema{"schema": reference(name), "example": example}}}
}

func reference(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

func errorResponses() schema {
	all := schema{}
	for _, status := range slices.Sorted(maps.Keys(statusTexts)) {
		of := schema{"description": statusTexts[status], "content": schema{typeJSON: schema{"schema": reference("Error")}}}
		headers := schema{}
		switch status {
		case 405:
			headers["Allow"] = header("The methods that this path has.")
		case 429, 503:
			headers["Retry-After"] = header("Seconds after which to come again.")
		}
		if len(headers) > 0 {
			of["headers"] = headers
		}
		all[strconv.Itoa(status)] = of
	}
	return all
}

func header(text string) schema {
	return schema{"description": text, "schema": schema{"type": "string"}}
}
