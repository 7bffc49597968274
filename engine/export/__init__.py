"""Write an explanation to a folder: pictures, tables and the record to make it again."""
