{{- define "commandapi.pod" -}}
automountServiceAccountToken: false
securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
volumes: [{name: tmp, emptyDir: {sizeLimit: {{ .Values.spool.sizeLimit }}}}]
{{- end }}
{{- define "commandapi.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
volumeMounts: [{name: tmp, mountPath: /tmp}]
envFrom: [{secretRef: {name: {{ .Values.secretName }}}}]
env:
  - {name: COMMANDAPI_ENVIRONMENT, value: production}
  {{- range $name, $value := .Values.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
{{- end }}
