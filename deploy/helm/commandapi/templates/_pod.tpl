{{- define "commandapi.pod" -}}
automountServiceAccountToken: false
securityContext: {runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: {type: RuntimeDefault}}
{{- end }}
{{- define "commandapi.tmp" -}}
# A file system of its own: its free space is what the watermark looks at, and a full one evicts no pod.
volumes:
  - name: tmp
    {{- if .Values.tmp.volume }}
    {{- toYaml .Values.tmp.volume | nindent 4 }}
    {{- else }}
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          {{- with .Values.tmp.storageClass }}
          storageClassName: {{ . }}
          {{- end }}
          resources: {requests: {storage: {{ .Values.tmp.size }}}}
    {{- end }}
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
