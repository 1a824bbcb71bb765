{{/* The parts of a cluster. The service, the network policy and the spread over machines go by this label. */}}
{{- define "scrivano.cluster.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Not the label of the name on pods of Ray: KubeRay sets that, and selects by it. */}}
{{- define "scrivano.cluster.labels" -}}
{{ include "scrivano.cluster.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- if ne .component "ray" }}
app.kubernetes.io/name: {{ .root.Chart.Name }}
{{- end }}
{{- end }}

{{/* The image with Ray. `variant`: cpu or cuda. All nodes need the same versions of Python, Ray and Scrivano. */}}
{{- define "scrivano.ray.image" -}}
{{ include "scrivano.repository" .root }}:{{ .root.Values.cluster.ray.tag | default .root.Chart.AppVersion }}-ray-{{ .variant }}
{{- end }}

{{/* KubeRay takes the end of names of more than 50 characters. */}}
{{- define "scrivano.ray.name" -}}
{{ include "scrivano.name" . | trunc 40 | trimSuffix "-" }}-ray
{{- end }}

{{/* The variables of every process of Ray. With Ray's own limits a frozen node is noticed after minutes. */}}
{{- define "scrivano.ray.env" -}}
- name: RAY_AUTH_MODE
  value: token
- name: RAY_AUTH_TOKEN
  valueFrom:
    secretKeyRef: { name: {{ required "cluster.ray.tokenSecret: a secret with the entry auth_token" .Values.cluster.ray.tokenSecret | quote }}, key: auth_token }
{{- include "scrivano.variables" .Values.cluster.ray.environment }}
{{- end }}

{{/* What servers and dispatchers have in common. `more`: settings of this part. */}}
{{- define "scrivano.cluster.settings" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef: { name: {{ required "cluster.databaseSecret: a secret with the entry DATABASE_URL" .root.Values.cluster.databaseSecret | quote }}, key: DATABASE_URL }
{{- $own := dict "BLOB_URL" (required "cluster.storage.url: s3://bucket/prefix" .root.Values.cluster.storage.url) "DATA_DIR" "/data" }}
{{- include "scrivano.variables" (merge $own .more .root.Values.cluster.storage.environment .root.Values.settings) }}
{{- end }}

{{- define "scrivano.cluster.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The pods that may use the ports of Ray. */}}
{{- define "scrivano.ray.members" -}}
podSelector:
  matchLabels:
    app.kubernetes.io/instance: {{ .Release.Name }}
  matchExpressions:
    - { key: app.kubernetes.io/component, operator: In, values: [dispatcher, ray] }
{{- end }}

{{/* What all pods have in common. `place`: nodeSelector, tolerations and affinity. */}}
{{- define "scrivano.cluster.pod" -}}
enableServiceLinks: false
securityContext: {{- include "scrivano.podSecurityContext" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $.place $name }}
{{ $name }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Several pods of a part on different machines, where there are some. */}}
{{- define "scrivano.cluster.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "scrivano.cluster.selector" . | nindent 8 }}
{{- end }}

{{/* The models of servers that decode, and of nodes. */}}
{{- define "scrivano.cluster.models" -}}
- name: models
  {{- if .Values.cluster.models.existingClaim }}
  persistentVolumeClaim: { claimName: {{ .Values.cluster.models.existingClaim | quote }} }
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
