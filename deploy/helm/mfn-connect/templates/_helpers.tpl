{{- define "mfn-connect.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mfn-connect.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mfn-connect.labels" -}}
{{ include "mfn-connect.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What scales the workload, so that it must not set replicas itself. */}}
{{- define "mfn-connect.scaled" -}}
{{- if and .Values.keda.enabled .Values.hpa.enabled }}{{ fail "keda.enabled and hpa.enabled: only one of them may be true" }}{{ end }}
{{- if or .Values.keda.enabled .Values.hpa.enabled }}true{{ end }}
{{- end }}
