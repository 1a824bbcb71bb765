{{- define "scrivano.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "scrivano.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scrivano.labels" -}}
{{ include "scrivano.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "scrivano.repository" -}}
{{ required "set image.repository to the name of the image in your registry, without a tag: --set image.repository=ghcr.io/OWNER/scrivano (docs/install.md, Kubernetes)" .Values.image.repository }}
{{- end }}

{{- define "scrivano.image" -}}
{{ include "scrivano.repository" . }}:{{ .Values.image.tag | default (printf "%s-%s" .Chart.AppVersion (ternary "cuda" "cpu" .Values.gpu.enabled)) }}
{{- end }}

{{/* The settings of the values, and those that follow from other values. */}}
{{- define "scrivano.settings" -}}
{{- $settings := deepCopy (.Values.settings | default dict) }}
{{- if .Values.service.wyoming.enabled }}{{ $_ := set $settings "WYOMING_PORT" "10300" }}{{ end }}
{{- if .Values.apiKeys.existingSecret }}{{ $_ := set $settings "API_KEYS_FILE" "/keys/keys.json" }}{{ end }}
{{- with and .Values.ingress.enabled .Values.ingress.proxies }}{{ $_ := set $settings "FORWARDED_ALLOW_IPS" . }}{{ end }}
{{- if and $settings.API_KEYS_FILE $settings.WYOMING_PORT }}
{{- fail "service.wyoming and apiKeys exclude each other: Wyoming has no keys, and the server refuses to start with both. Install a second release without apiKeys for Wyoming, with a network policy that lets only Home Assistant in" }}
{{- end }}
{{- toJson $settings }}
{{- end }}

{{/* Variables of a dictionary. Numbers as they stand: 10000000000, not 1e+10. */}}
{{- define "scrivano.variables" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}

{{- define "scrivano.podSecurityContext" -}}
{{- if .Values.openshift }}{{ toYaml (omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup") }}{{ else }}{{ toYaml .Values.podSecurityContext }}{{ end }}
{{- end }}
