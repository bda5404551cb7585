-- A table to which each sync appends keeps everybody whom each sync has seen.
{{ stage('active_room_peers', key=['id', 'extracted_at']) }}
