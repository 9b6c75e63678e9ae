# A path that node_exporter and the sandbox of promdrop.service both see: its units hide homes and temporary files.
type Promdrop::Textfile_dir = Pattern[/\A(?!\/(home|root|tmp|var\/tmp|run\/user)(\/|\z))(\/(?!\.\.?(\/|\z))[A-Za-z0-9._@+-]+)+\z/]
