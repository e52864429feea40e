python3 -c "import routes; routes.create_table()"
